# What `cmake --install` puts in place: the programs, the libraries shm and router for C++ programs
# (find_package(weir)), and libweir.so for all others (pkg-config weir). tests/package uses each of them.
include(CMakePackageConfigHelpers)

get_property(programs GLOBAL PROPERTY WEIR_PROGRAMS)
install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# weir_router, and every library of ours that it stands on.
set(installed weir_router)
set(todo weir_router)
while(todo)
    list(POP_FRONT todo library)
    get_target_property(links ${library} LINK_LIBRARIES)
    foreach(link IN LISTS links)
        if(NOT link MATCHES "^weir::(.+)$")
            continue()
        endif()
        set(library weir_${CMAKE_MATCH_1})
        if(NOT library IN_LIST installed)
            list(APPEND installed ${library})
            list(APPEND todo ${library})
        endif()
    endforeach()
endwhile()
install(TARGETS ${installed} EXPORT weirTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/weir)
install(TARGETS weir_c LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/shm/weir.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
install(EXPORT weirTargets NAMESPACE weir:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/weirConfig.cmake.in weirConfig.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change everything.
write_basic_package_version_file(weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weirConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/weirConfigVersion.cmake
        DESTINATION ${package_dir})

# The paths of weir.pc are relative to where it lies, so that an installation can be moved.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
           OUTPUT_VARIABLE pc_libdir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
           OUTPUT_VARIABLE pc_includedir)
configure_file(${PROJECT_SOURCE_DIR}/cmake/weir.pc.in weir.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
