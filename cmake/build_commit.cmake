# cmake -DSOURCE=… -DOUTPUT=… -P build_commit.cmake: writes the commit that is being built into a header, which changes
# only when the commit does. A clone may belong to another user (safe.directory). An unpacked archive has no commit,
# even inside of another repository (show-cdup names the way up to that one's root).
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
