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
  using Content = std::variant<Wire, std::unique_ptr<WireStream>>;
  using Output = smtp::ClientDialog::Output;

  Output output;  // the dialog fills it, then begin(), then add() for each of output.contents

  void begin();
  void add(Content content);
  /// What is to be written next, at most 64 buffers, good until took(); empty: all is written.
  std::span<const asio::const_buffer> next();
  void took(std::size_t n);
  void clear() { contents_.clear(); }

  /// What the kernel has taken, as ClientDialog::partly_written() counts it: whole contents only.
  std::size_t commands_taken() const;
  std::size_t contents_taken() const { return piece_ / 2; }

 private:
  static constexpr std::size_t most_buffers = 64;  // what Asio hands to one call

  std::size_t commands_from(std::size_t i) const { return i == 0 ? 0 : output.contents[i - 1].at; }
  std::string_view bytes(std::size_t piece) const;
  WireStream* stream(std::size_t piece) const;
  bool refill();

  std::vector<Content> contents_;
  std::size_t piece_ = 0;   // even: commands, odd: contents
  std::size_t offset_ = 0;  // in this piece, or in slice_
  std::string_view slice_;  // of the streamed content that is the current piece
  std::uint64_t streamed_ = 0;
  std::array<asio::const_buffer, most_buffers> buffers_;
};

}  // namespace spoold::server
