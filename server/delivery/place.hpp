// A lane's place among the other lanes: the connections that all share ([delivery] max_connections,
// connections.hpp), those of its group and the group's clock (groups.hpp), and an operator's wish that the clock
// be ignored.
//
// Guarantees: a Ticket is one connection of all and one seat in the group, given back with it; a connection that
// was taken ahead of its use (a grant) is used first or given back; without a connection to be had the lane is
// in the line of its thread once. Whether it is in line only the Line knows. All on the lane's thread.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "protocol/delivery/group.hpp"
#include "server/delivery/connections.hpp"
#include "server/delivery/groups.hpp"

namespace spoold::server {

class Place {
 public:
  /// Routes of this thread that wait for a first connection.
  class Line {
   public:
    virtual ~Line() = default;
    virtual bool in_line(const std::string& route) const = 0;
    /// granted() is called when a connection was taken for it. No effect when it is in line already.
    virtual void stand_in_line(const std::string& route) = 0;
  };

  /// What one open connection has taken from the other lanes.
  class Ticket {
   public:
    Ticket(Connections& all, std::unique_ptr<Seat> seat) : all_(all), seat_(std::move(seat)) {}
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() { all_.give(yields_); }
    /// Another lane waits for a connection.
    bool wanted() const { return all_.crowded() || (seat_ && seat_->crowded()); }
    /// True: the connection is to end for another lane; it must, from here on.
    bool yield();
    bool yields() const { return yields_ || yields_in_group(); }
    bool yields_in_group() const { return seat_ && seat_->yields(); }
    /// It was there so long that it may go, although it is its lane's only one.
    bool had_its_turn() const;

   private:
    Connections& all_;
    std::unique_ptr<Seat> seat_;
    bool yields_ = false;
    const std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  };

  Place(Connections& all, Line& line, std::string route) : all_(all), line_(line), route_(std::move(route)) {}

  /// Null: it has no group. `most`: connections of the whole group.
  void join(std::shared_ptr<LockedGroup> group, std::uint32_t most);
  const std::shared_ptr<LockedGroup>& group() const { return group_; }
  /// The group does not give it a connection before this time.
  TimePoint group_until() const { return group_until_; }
  /// The group may have a connection for it.
  void called() { group_until_ = {}; }
  /// An operator asked for an attempt at this time: waits of the group that began before it end.
  void wish(TimePoint at) { wished_ = at; }

  bool in_line() const { return line_.in_line(route_); }
  /// A connection was taken for it.
  void granted();
  bool has_grant() const { return granted_; }
  void return_grant();
  /// Before it claims, for a lane without a connection: takes one, or stands in line. False: it has none.
  bool reserve();

  struct Answer {
    std::unique_ptr<Ticket> ticket;    // null: none now
    std::optional<HostFault> fault{};  // of another lane of the group: this one's host is down too
  };
  /// `first`: the lane has no connection.
  Answer take(bool first, TimePoint now);
  void leave(std::unique_ptr<Ticket> ticket);

 private:
  Connections& all_;
  Line& line_;
  const std::string route_;
  bool granted_ = false;  // a connection was taken and is not yet used
  std::shared_ptr<LockedGroup> group_;
  std::uint32_t group_most_ = 0;
  TimePoint group_until_{};
  bool gave_way_ = false;  // to another lane of the group
  TimePoint wished_{};
};

}  // namespace spoold::server
