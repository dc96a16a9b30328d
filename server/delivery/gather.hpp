// The output of a ClientDialog on its way to the kernel: commands and contents in one gather write, slice by slice
// where a content is too large to be in memory. Knows no socket.
//
// Guarantees: octets are written in the order of the Output; a content sent by BDAT has exactly as many octets as
// BDAT announced. Failures: a stored content of another length than its record states is a bug, and throws. To pad
// or to cut it would damage this message; to continue would damage the next one.
#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/smtp/client_dialog.hpp"
#include "server/asio.hpp"
#include "server/delivery/wire.hpp"

namespace spoold::server {

class Gather {
 public:
  /// A form, with a copy's own values in its blanks where there is a copy.
  struct Rope {
    Wire wire;
    std::shared_ptr<const Copy> copy = nullptr;
  };
  using Content = std::variant<Rope, std::unique_ptr<WireStream>>;
  using Output = smtp::ClientDialog::Output;

  Output output;  // the dialog fills it, then begin(), then add() for each of output.contents

  void begin();
  void add(Content content);
  /// What is to be written next, at most 64 buffers, good until took(); empty: all is written.
  std::span<const asio::const_buffer> next();
  void took(std::size_t n);
  void clear();

  /// What the kernel has taken, as ClientDialog::partly_written() counts it: whole contents only.
  std::size_t commands_taken() const;
  std::size_t contents_taken() const {
    return at_ < pieces_.size() ? pieces_[at_].contents : contents_.size();
  }

 private:
  static constexpr std::size_t most_buffers = 64;  // what Asio hands to one call

  /// Of the commands or of a content. A content that is streamed is one piece, whose octets come in slices.
  struct Piece {
    std::string_view bytes;
    WireStream* stream = nullptr;
    std::size_t contents = 0;  // that are before it
    bool command = false;
  };

  void put_commands(std::size_t to);
  void put(const Rope& rope, const Output::Content& wanted);
  void end_commands();
  bool refill();

  std::vector<Content> contents_;
  std::vector<Piece> pieces_;
  std::size_t commands_ = 0;  // octets of the commands that are in pieces_
  bool all_ = false;          // the commands behind the last content too
  std::size_t at_ = 0;        // the current piece
  std::size_t offset_ = 0;    // in this piece, or in slice_
  std::string_view slice_;    // of the streamed content that is the current piece
  std::uint64_t streamed_ = 0;
  std::array<asio::const_buffer, most_buffers> buffers_;
};

}  // namespace spoold::server
