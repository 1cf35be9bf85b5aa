#include "tests/support/scratch.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "tests/support/loopback.hpp"
#include "tests/support/sweep.hpp"

namespace weir::test {

ScratchSegment::ScratchSegment() {
    sweep_once();
    static int count = 0;
    name_ = "weir-test-" + std::to_string(::getpid()) + '-' + std::to_string(++count) + "-e";
}

ScratchSegment::~ScratchSegment() { ::shm_unlink(('/' + name_).c_str()); }

ScratchFolder::ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
    path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string ScratchFolder::write(const std::string& file, const std::string& text) const {
    std::ofstream out(path(file), std::ios::binary);
    out << text;
    out.close();
    if (!out) throw std::runtime_error("cannot write " + path(file));
    return path(file);
}

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

Occupied::Occupied() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    port_ = bind_to_free_port(socket_);
    if (port_ == 0 || ::listen(socket_, 8) != 0) throw std::runtime_error("cannot occupy a port");
}

Occupied::~Occupied() { ::close(socket_); }

std::vector<std::uint16_t> free_ports(std::size_t count) {
    std::vector<std::unique_ptr<Occupied>> held;
    std::vector<std::uint16_t> ports;
    for (std::size_t i = 0; i < count; ++i) {
        held.push_back(std::make_unique<Occupied>());
        ports.push_back(held.back()->port());
    }
    return ports;
}

}  // namespace weir::test
