# Stand-ins for the macros that an extension calls. Missing files are errors, as in Slicer.
include(CMakeParseArguments)

function(standin_copy target destination)
  set(copied)
  foreach(file IN LISTS ARGN)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    if(NOT EXISTS ${source})
      message(FATAL_ERROR "${target}: nonexistent file '${file}'")
    endif()
    add_custom_command(
      OUTPUT ${destination}/${file}
      COMMAND ${CMAKE_COMMAND} -E copy ${source} ${destination}/${file}
      DEPENDS ${source}
      )
    list(APPEND copied ${destination}/${file})
  endforeach()
  add_custom_target(Copy${target} ALL DEPENDS ${copied})
endfunction()

macro(ctkMacroCompilePythonScript)
  cmake_parse_arguments(MY "NO_INSTALL_SUBDIR" "TARGET_NAME;DESTINATION_DIR;INSTALL_DIR"
    "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "ctkMacroCompilePythonScript: unknown ${MY_UNPARSED_ARGUMENTS}")
  endif()
  foreach(needed TARGET_NAME SCRIPTS DESTINATION_DIR INSTALL_DIR)
    if(NOT MY_${needed})
      message(FATAL_ERROR "ctkMacroCompilePythonScript: ${needed} is mandatory")
    endif()
  endforeach()
  standin_copy(${MY_TARGET_NAME} ${MY_DESTINATION_DIR} ${MY_SCRIPTS} ${MY_RESOURCES})
  # The folder is installed under its own name, or its content alone.
  if(MY_NO_INSTALL_SUBDIR)
    install(DIRECTORY "${MY_DESTINATION_DIR}/" DESTINATION "${MY_INSTALL_DIR}")
  else()
    install(DIRECTORY "${MY_DESTINATION_DIR}" DESTINATION "${MY_INSTALL_DIR}")
  endif()
endmacro()

macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY_SLICER "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME"
    "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_SLICER_UNPARSED_ARGUMENTS OR NOT MY_SLICER_NAME)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: ${MY_SLICER_UNPARSED_ARGUMENTS}")
  endif()
  ctkMacroCompilePythonScript(
    TARGET_NAME ${MY_SLICER_NAME}
    SCRIPTS "${MY_SLICER_SCRIPTS}"
    RESOURCES "${MY_SLICER_RESOURCES}"
    DESTINATION_DIR ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}
    INSTALL_DIR ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    NO_INSTALL_SUBDIR
    )
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY_TEST "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(MY_TEST_UNPARSED_ARGUMENTS OR NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${MY_TEST_SCRIPT})
    message(FATAL_ERROR "slicer_add_python_unittest: ${MY_TEST_SCRIPT} ${MY_TEST_UNPARSED_ARGUMENTS}")
  endif()
  message(STATUS "Slicer test: ${MY_TEST_TESTNAME_PREFIX}${MY_TEST_SCRIPT}")
endmacro()
