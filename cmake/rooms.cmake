# Rooms above the kernels, each linking the ones below it, and programs.
room(engine ${ENGINE})
target_link_libraries(engine PUBLIC kernels PRIVATE fmt::fmt)
if(NOT WARPBERT_CUDA)
  target_link_libraries(engine PRIVATE DNNL::dnnl gomp)
endif()
if(WARPBERT_PROCESSES)
  target_link_libraries(engine PRIVATE MPI::MPI_CXX ${CMAKE_DL_LIBS})
  if(WARPBERT_CUDA)
    target_include_directories(engine PRIVATE ${NCCL_INCLUDE_DIR})
  endif()
endif()
room(model ${MODEL})
target_link_libraries(model PUBLIC engine PRIVATE fmt::fmt Threads::Threads)
room(io ${IO})
target_link_libraries(io PUBLIC fmt::fmt nlohmann_json::nlohmann_json PRIVATE PkgConfig::LIBZIP ICU::uc ZLIB::ZLIB)
room(train_data ${TRAIN_DATA})  # all of train/ that `study` needs
target_link_libraries(train_data PUBLIC engine io CLI11::CLI11)
room(train ${TRAIN})
find_package(Boost 1.74 CONFIG REQUIRED)  # its CRC
target_link_libraries(train PUBLIC model train_data PRIVATE Boost::headers)

# Inputs of build_info().
add_custom_target(build_commit COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DOUTPUT=${CMAKE_BINARY_DIR}/generated/build_commit.h
  -P ${CMAKE_SOURCE_DIR}/cmake/build_commit.cmake BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/build_commit.h VERBATIM)
add_dependencies(train_data build_commit)
set(backend simulator)
if(WARPBERT_CUDA)
  list(JOIN CMAKE_CUDA_ARCHITECTURES ", sm_" architectures)
  set(backend "CUDA ${CUDAToolkit_VERSION}, sm_${architectures}")
endif()
if(WARPBERT_PROCESSES)
  string(APPEND backend ", MPI")
endif()
set_source_files_properties(train/config/build_info.cpp PROPERTIES INCLUDE_DIRECTORIES ${CMAKE_BINARY_DIR}/generated
  COMPILE_DEFINITIONS "WARPBERT_VERSION=\"${PROJECT_VERSION}\";WARPBERT_BUILD_TYPE=\"${CMAKE_BUILD_TYPE}\";WARPBERT_BACKEND=\"${backend}\"")

# train/report/report.html as a string literal, for page.cpp.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS train/report/report.html)
file(READ train/report/report.html report_template)
file(CONFIGURE OUTPUT generated/report_template.inc CONTENT "R\"html(@report_template@)html\"\n" @ONLY)
set_source_files_properties(train/report/page.cpp PROPERTIES INCLUDE_DIRECTORIES ${CMAKE_BINARY_DIR}/generated)

# ---- One program with a link per command, and the shipped configurations, in build/<preset>/bin ------------
sources(PROGRAMS train/programs/*.cpp)
add_executable(warpbert ${PROGRAMS})
target_link_libraries(warpbert PRIVATE train Threads::Threads warnings)
file(MAKE_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
foreach(command train predict eval report average inspect export count_tokens)
  add_custom_command(TARGET warpbert POST_BUILD COMMAND ${CMAKE_COMMAND} -DTARGET=warpbert
    -DLINK=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${command} -P ${CMAKE_SOURCE_DIR}/cmake/link.cmake VERBATIM)
endforeach()
sources(CONFIGS configs/*.ini)
foreach(config ${CONFIGS})
  get_filename_component(name ${config} NAME)
  # Links: reconfiguring does not overwrite an INI edited here.
  file(CREATE_LINK ${config} ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${name} COPY_ON_ERROR SYMBOLIC)
endforeach()
room(kernel_cases bench/kernel_cases.cpp)
target_link_libraries(kernel_cases PUBLIC train_data)
add_executable(kernels_bench bench/kernels_bench.cpp)
target_link_libraries(kernels_bench PRIVATE kernel_cases warnings)
add_executable(step_bench bench/step_bench.cpp)
target_link_libraries(step_bench PRIVATE train warnings)
add_executable(example_mlp examples/mlp.cpp)
target_link_libraries(example_mlp PRIVATE engine fmt::fmt warnings)
