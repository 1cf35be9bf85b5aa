// Names, files and ports for one test alone.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace weir::test {

/// The name of a segment that nobody else uses; the segment goes away with this.
class ScratchSegment {
 public:
    ScratchSegment();
    ~ScratchSegment();
    ScratchSegment(const ScratchSegment&) = delete;
    ScratchSegment& operator=(const ScratchSegment&) = delete;

    const std::string& name() const noexcept { return name_; }

 private:
    std::string name_;
};

/// A folder for a test's files; it goes away with this.
class ScratchFolder {
 public:
    ScratchFolder();
    ~ScratchFolder();
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    /// The path of a file in it.
    std::string path(const std::string& file) const { return path_ + '/' + file; }

    /// Writes a file and returns its path.
    std::string write(const std::string& file, const std::string& text) const;

 private:
    std::string path_;
};

/// Reads a whole file. Throws std::runtime_error.
std::string read_file(const std::string& path);

/// A socket that listens on a port of 127.0.0.1, and never answers.
class Occupied {
 public:
    Occupied();
    ~Occupied();
    Occupied(const Occupied&) = delete;
    Occupied& operator=(const Occupied&) = delete;

    std::uint16_t port() const noexcept { return port_; }

 private:
    int socket_;
    std::uint16_t port_;
};

/// Ports that nobody has just now, all different. Use them at once.
std::vector<std::uint16_t> free_ports(std::size_t count);

}  // namespace weir::test
