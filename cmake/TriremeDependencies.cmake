# What Trireme stands on. Everything is found, nothing is downloaded: scripts/setup installs what a bare machine lacks.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI 3.1 REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)
find_package(Boost 1.70 REQUIRED COMPONENTS program_options)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)

# HDF5's module wants to compile C. Debian keeps one flavour for each MPI: take MPICH's compiler wrapper where there is one.
enable_language(C)
find_program(HDF5_C_COMPILER_EXECUTABLE NAMES h5pcc.mpich h5pcc)
set(HDF5_PREFER_PARALLEL ON)
# The module compiles a file below the build folder with that wrapper, a shell script that splits paths with spaces: give it another folder then.
set(trireme_binary_dir "${CMAKE_CURRENT_BINARY_DIR}")
set(trireme_scratch "")
if(CMAKE_CURRENT_BINARY_DIR MATCHES " ")
  execute_process(COMMAND mktemp -d -p /tmp OUTPUT_VARIABLE trireme_scratch OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(CMAKE_CURRENT_BINARY_DIR "${trireme_scratch}")
endif()
find_package(HDF5 REQUIRED COMPONENTS C)
set(CMAKE_CURRENT_BINARY_DIR "${trireme_binary_dir}")
if(trireme_scratch)
  file(REMOVE_RECURSE "${trireme_scratch}")
endif()
if(NOT HDF5_IS_PARALLEL)
  message(FATAL_ERROR "The HDF5 that was found (${HDF5_INCLUDE_DIRS}) was built without MPI; Trireme needs a parallel one. "
    "Debian: libhdf5-mpich-dev. Elsewhere: module load hdf5-parallel, or set HDF5_ROOT.")
endif()
add_library(trireme_hdf5 INTERFACE)
target_include_directories(trireme_hdf5 SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS})
target_compile_definitions(trireme_hdf5 INTERFACE ${HDF5_DEFINITIONS})
target_link_libraries(trireme_hdf5 INTERFACE ${HDF5_LIBRARIES} MPI::MPI_CXX)

find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)

find_package(Kokkos 4.5 REQUIRED)
# A Kokkos built with COMPILE_AS_CMAKE_LANGUAGE says so; our sources that use it are then compiled as that language.
if(Kokkos_COMPILE_LANGUAGE STREQUAL "CUDA")
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 90 CACHE STRING "CUDA architectures")
  endif()
  enable_language(CUDA)
  # CMake before 3.26 knows no C++20 for nvcc 13: it adds no flag, or refuses the dialect.
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  endif()
  if(NOT CMAKE_CUDA_FLAGS MATCHES "-std=")
    string(APPEND CMAKE_CUDA_FLAGS " -std=c++20")
  endif()
  # Headers alone: CUDA's libraries are loaded while the program runs, so that it starts where they are missing.
  if(TRIREME_CUBLASLT)
    find_package(CUDAToolkit REQUIRED)
    find_path(CUBLASLT_INCLUDE_DIR cublasLt.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  endif()
endif()

if(TRIREME_ONEDNN)
  # Not find_package(dnnl): Debian's package file wants OpenCL headers that the library does not need.
  find_path(DNNL_INCLUDE_DIR dnnl.h)
  find_library(DNNL_LIBRARY NAMES dnnl)
endif()
if(TRIREME_BLAS)
  find_path(CBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas x86_64-linux-gnu aarch64-linux-gnu)
  find_library(CBLAS_LIBRARY NAMES openblas blis mkl_rt cblas)
endif()
