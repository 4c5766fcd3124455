# trireme_library(NAME [KOKKOS] [SOURCES a.cpp ...] [REGISTRIES optimizer ...] LINK targets ...): one folder, one static library trireme_NAME.
# Without SOURCES it has all *.cpp files of the folder. REGISTRIES: tables of kinds that it holds (TriremeRegistries.cmake).
# KOKKOS marks sources that include Kokkos: they are compiled as the language that Kokkos was built for.

add_library(trireme_flags INTERFACE)
target_include_directories(trireme_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
  $<INSTALL_INTERFACE:include/trireme>)
target_compile_features(trireme_flags INTERFACE cxx_std_20)
target_compile_options(trireme_flags INTERFACE
  "$<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wno-unknown-pragmas>"
  "$<$<AND:$<BOOL:${TRIREME_WARNINGS_AS_ERRORS}>,$<COMPILE_LANG_AND_ID:CXX,GNU,Clang>>:-Werror>"
  "$<$<COMPILE_LANGUAGE:CUDA>:--extended-lambda;--expt-relaxed-constexpr;-diag-suppress=20012,20013,20014,20015>")
# fmt 9 (Debian 12) takes constexpr from nvcc in C++17's places only, and nvcc refuses its consteval: all constexpr, and no checks of
# format strings where nvcc compiles; the host's compiler checks the same lines in the other presets.
target_compile_definitions(trireme_flags INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1;FMT_CONSTEVAL=>")
# nvcc 13.0 lays members with [[no_unique_address]] out otherwise on the device than on the host: kernels that capture a Kokkos view (4.7.00's are made of
# such members) then read their arguments from wrong places. Kokkos's headers know a way without the attribute, which has the host's layout.
target_compile_definitions(trireme_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:MDSPAN_IMPL_USE_ATTRIBUTE_NO_UNIQUE_ADDRESS=1;MDSPAN_IMPL_USE_FAKE_ATTRIBUTE_NO_UNIQUE_ADDRESS;MDSPAN_IMPL_NO_UNIQUE_ADDRESS=>")
if(TRIREME_SANITIZE)
  target_compile_options(trireme_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${TRIREME_SANITIZE};-fno-omit-frame-pointer>)
  target_link_options(trireme_flags INTERFACE -fsanitize=${TRIREME_SANITIZE})
endif()

function(trireme_as_kokkos_language)
  if(Kokkos_COMPILE_LANGUAGE STREQUAL "CUDA")
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CUDA)
  endif()
endfunction()

function(trireme_library name)
  cmake_parse_arguments(ARG "KOKKOS" "" "SOURCES;REGISTRIES;LINK;PRIVATE_LINK" ${ARGN})
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  endif()
  foreach(registry IN LISTS ARG_REGISTRIES)
    list(APPEND ARG_SOURCES "${TRIREME_GENERATED}/${registry}_kinds.cpp")
  endforeach()
  add_library(trireme_${name} STATIC ${ARG_SOURCES})
  add_library(trireme::${name} ALIAS trireme_${name})
  set_target_properties(trireme_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON EXPORT_NAME ${name})
  target_link_libraries(trireme_${name} PUBLIC trireme_flags ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
  if(ARG_KOKKOS)
    target_link_libraries(trireme_${name} PUBLIC Kokkos::kokkos)
    trireme_as_kokkos_language(${ARG_SOURCES})
  endif()
  set_property(GLOBAL APPEND PROPERTY TRIREME_LIBRARIES trireme_${name})
endfunction()
