# Checks the folder's name and finds source files in it.

# Make, Ninja and CMake's lists have no way to write these characters.
if("${CMAKE_SOURCE_DIR}${CMAKE_BINARY_DIR}" MATCHES "[#;\"\\\n]")
  message(FATAL_ERROR "${CMAKE_SOURCE_DIR}: CMake cannot build in a folder whose path has one of # ; \" \\; rename it")
endif()

# sources(<variable> <pattern>...): the files of this project that match; new files are noticed at the next build.
# Characters of the folder's own name are no patterns.
function(sources variable)
  string(REGEX REPLACE "([][*?])" "[\\1]" folder "${CMAKE_SOURCE_DIR}")
  list(TRANSFORM ARGN PREPEND "${folder}/")
  file(GLOB files CONFIGURE_DEPENDS ${ARGN})
  set(${variable} ${files} PARENT_SCOPE)
endfunction()
