# cmake -DTARGET=… -DLINK=… -P link.cmake: makes LINK a symbolic link to TARGET in the same folder, or a copy
# if the file system has no links.
get_filename_component(folder "${LINK}" DIRECTORY)
file(CREATE_LINK "${TARGET}" "${LINK}" RESULT failed SYMBOLIC)
if(failed)
  configure_file("${folder}/${TARGET}" "${LINK}" COPYONLY)
endif()
