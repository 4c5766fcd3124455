# cmake --install: the program, and what find_package(trireme) needs to use the libraries from another project.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
get_property(libraries GLOBAL PROPERTY TRIREME_LIBRARIES)
add_library(trireme_all INTERFACE)
target_link_libraries(trireme_all INTERFACE ${libraries})
set_target_properties(trireme_all PROPERTIES EXPORT_NAME trireme)

install(TARGETS trireme_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${libraries} trireme_flags trireme_hdf5 trireme_all EXPORT trireme
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY src/ DESTINATION include/trireme FILES_MATCHING PATTERN "*.hpp")
install(DIRECTORY io kokkos_kernels DESTINATION include/trireme FILES_MATCHING PATTERN "*.hpp")
install(DIRECTORY inputs jobs DESTINATION ${CMAKE_INSTALL_DATADIR}/trireme)
install(FILES share/trireme.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES share/trireme.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME trireme)
install(EXPORT trireme NAMESPACE trireme:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/trireme)
configure_package_config_file(cmake/triremeConfig.cmake.in triremeConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/trireme)
write_basic_package_version_file(triremeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/triremeConfig.cmake ${PROJECT_BINARY_DIR}/triremeConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/trireme)
