# Slicer refuses an extension without these.
foreach(name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL DEPENDS)
  if(NOT EXTENSION_${name})
    message(FATAL_ERROR "EXTENSION_${name} is not set")
  endif()
  message(STATUS "EXTENSION_${name}=${EXTENSION_${name}}")
endforeach()
