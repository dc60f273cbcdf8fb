# Checks the folder's path and finds source files.

# Make, Ninja and CMake lists cannot escape these characters; a lone bracket joins two list items.
foreach(folder "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}")
  string(REGEX REPLACE "\\[[^][]*\\]" "" rest "${folder}")
  if("${rest}" MATCHES "[][#;\"\\\n]")
    message(FATAL_ERROR "${folder}: CMake cannot build in a folder whose path has one of # ; \" \\ or a lone [ or ]; rename it")
  endif()
endforeach()

# sources(<variable> <pattern>...): globs files of this project; the next build notices new ones. Characters
# of the folder's path are literal.
function(sources variable)
  string(REGEX REPLACE "([][*?])" "[\\1]" folder "${CMAKE_SOURCE_DIR}")
  list(TRANSFORM ARGN PREPEND "${folder}/")
  file(GLOB files CONFIGURE_DEPENDS ${ARGN})
  set(${variable} ${files} PARENT_SCOPE)
endfunction()
