# Checks the folder's name and finds source files in it.

# Make, Ninja and CMake's lists have no way to write these characters, and a lone bracket joins two files of a list.
foreach(folder "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}")
  string(REGEX REPLACE "\\[[^][]*\\]" "" rest "${folder}")
  if("${rest}" MATCHES "[][#;\"\\\n]")
    message(FATAL_ERROR "${folder}: CMake cannot build in a folder whose path has one of # ; \" \\ or a lone [ or ]; rename it")
  endif()
endforeach()

# sources(<variable> <pattern>...): the files of this project that match; new files are noticed at the next build.
# Characters of the folder's own name are no patterns.
function(sources variable)
  string(REGEX REPLACE "([][*?])" "[\\1]" folder "${CMAKE_SOURCE_DIR}")
  list(TRANSFORM ARGN PREPEND "${folder}/")
  file(GLOB files CONFIGURE_DEPENDS ${ARGN})
  set(${variable} ${files} PARENT_SCOPE)
endfunction()
