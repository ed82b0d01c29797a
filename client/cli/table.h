// A table of text with aligned columns.

#ifndef CONFSTREAM_CLIENT_CLI_TABLE_H_
#define CONFSTREAM_CLIENT_CLI_TABLE_H_

#include <string>
#include <vector>

#include "client/cli/console.h"

namespace confstream {

// Thread-compatible.
class Table {
 public:
  struct Cell {
    Cell(std::string t) : text(std::move(t)) {}  // NOLINT: a cell is a text
    Cell(const char* t) : text(t) {}             // NOLINT
    Cell(std::string t, Color c) : text(std::move(t)), color(c) {}

    std::string text;  // safe to print
    Color color = Color::kNone;
  };

  // Begins with a line of column names. `right` names the columns, from 0, that hold numbers.
  explicit Table(std::vector<std::string> columns, std::vector<size_t> right = {});

  // REQUIRES: as many cells as columns.
  void Add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }

  void Print(const Console& console) const;

 private:
  const std::vector<size_t> right_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_TABLE_H_
