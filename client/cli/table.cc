#include "client/cli/table.h"

#include <algorithm>
#include <utility>

namespace confstream {
namespace {

// Columns that UTF-8 text takes on a terminal, one for each character.
size_t Width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & '\xc0') != '\x80'; }));
}

}  // namespace

Table::Table(std::vector<std::string> columns, std::vector<size_t> right)
    : right_(std::move(right)) {
  std::vector<Cell> names;
  names.reserve(columns.size());
  for (std::string& column : columns) names.emplace_back(std::move(column), Color::kBold);
  rows_.push_back(std::move(names));
}

void Table::Print(const Console& console) const {
  std::vector<size_t> widths(rows_.front().size(), 0);
  for (const std::vector<Cell>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i].text));
  }
  for (const std::vector<Cell>& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - Width(row[i].text), ' ');
      const std::string painted = console.Paint(row[i].color, row[i].text);
      const bool right = std::find(right_.begin(), right_.end(), i) != right_.end();
      if (i > 0) line += "  ";
      if (right) line += padding;
      line += painted;
      if (!right && i + 1 < row.size()) line += padding;
    }
    *console.out << line << '\n';
  }
}

}  // namespace confstream
