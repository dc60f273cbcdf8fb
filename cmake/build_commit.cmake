# cmake -DSOURCE=… -DOUTPUT=… -P build_commit.cmake: writes the built commit into a header, which changes only
# with the commit. safe.directory allows clones owned by another user. --show-cdup is empty only at a
# repository's root: an unpacked archive inside another repository has no commit.
set(git git -c safe.directory=${SOURCE} -C ${SOURCE})
execute_process(COMMAND ${git} rev-parse --short=12 --show-cdup HEAD OUTPUT_VARIABLE said ERROR_QUIET RESULT_VARIABLE failed)
set(commit "unknown")
if(NOT failed AND said MATCHES "^\n([0-9a-f]+)\n$")
  set(commit ${CMAKE_MATCH_1})
  execute_process(COMMAND ${git} status --porcelain --untracked-files=no OUTPUT_VARIABLE changes ERROR_QUIET)
  if(changes)
    string(APPEND commit ", changed")
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define WARPBERT_COMMIT \"${commit}\"\n")
