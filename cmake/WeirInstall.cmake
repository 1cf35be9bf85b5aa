# What `cmake --install` puts in place: the programs, and shm as a package that others can find.
get_property(programs GLOBAL PROPERTY WEIR_PROGRAMS)
if(programs)
    install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
