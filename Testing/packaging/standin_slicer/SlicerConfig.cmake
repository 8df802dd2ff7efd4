# A stand-in for an installed Slicer: the variables that an extension's CMake files use.
# Nothing here is Slicer's code. The macros in UseStandInSlicer.cmake check and place files the way
# Slicer's do; what only Slicer's own can prove (launchers, translations, packages) is not imitated.
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseStandInSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/StandInGenerateConfig.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/StandInCPack.cmake)
set(Slicer_USE_PYTHONQT ON)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer-5.12/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR ${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
