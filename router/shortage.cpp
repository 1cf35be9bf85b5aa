#include "router/shortage.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace weir::router {

bool is_own_shortage(const ErrorCode& error) noexcept {
    namespace errc = boost::system::errc;
    return error == errc::too_many_files_open || error == errc::too_many_files_open_in_system ||
           error == errc::no_buffer_space || error == errc::not_enough_memory ||
           error == errc::address_not_available;  // all local ports to that address are in use
}

bool has_descriptors() noexcept {
    const int opened = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (opened < 0) return errno != EMFILE && errno != ENFILE;
    ::close(opened);
    return true;
}

}  // namespace weir::router
