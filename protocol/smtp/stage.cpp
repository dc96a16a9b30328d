#include "protocol/smtp/stage.hpp"

namespace spoold {

const char* text(Stage stage) {
  switch (stage) {
    case Stage::none:
      return "nothing";
    case Stage::connect:
      return "connect";
    case Stage::greeting:
      return "greeting";
    case Stage::ehlo:
      return "EHLO";
    case Stage::starttls:
      return "STARTTLS";
    case Stage::auth:
      return "AUTH";
    case Stage::mail:
      return "MAIL FROM";
    case Stage::rcpt:
      return "RCPT TO";
    case Stage::data:
      return "DATA";
    case Stage::content:
      return "content";
    case Stage::dot:
      return "end of data";
    case Stage::quit:
      return "QUIT";
    case Stage::dns:
      return "DNS";
  }
  return "nothing";
}

const char* label(Stage stage) {
  switch (stage) {
    case Stage::none:
      return "NONE";
    case Stage::connect:
      return "CONNECT";
    case Stage::greeting:
      return "GREETING";
    case Stage::ehlo:
      return "EHLO";
    case Stage::starttls:
      return "STARTTLS";
    case Stage::auth:
      return "AUTH";
    case Stage::mail:
      return "MAIL";
    case Stage::rcpt:
      return "RCPT";
    case Stage::data:
      return "DATA";
    case Stage::content:
      return "CONTENT";
    case Stage::dot:
      return "DOT";
    case Stage::quit:
      return "QUIT";
    case Stage::dns:
      return "DNS";
  }
  return "NONE";
}

}  // namespace spoold
