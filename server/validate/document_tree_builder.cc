#include "server/validate/document_tree_builder.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

// More are not worth reading.
constexpr size_t kMaxProblems = 100;

uint32_t Clipped(int64_t number) {
  return static_cast<uint32_t>(std::min<int64_t>(number, std::numeric_limits<uint32_t>::max()));
}

}  // namespace

NodeIndex DocumentTreeBuilder::Scalar(nlohmann::json value, TextPlace place) {
  DocumentNode node;
  node.scalar = std::move(value);
  const NodeIndex index = AddNode(std::move(node), place);
  Place(index);
  return index;
}

void DocumentTreeBuilder::Open(DocumentNode::Kind kind, TextPlace place) {
  open_.emplace_back();
  open_.back().kind = kind;
  open_.back().place = place;
}

void DocumentTreeBuilder::Key(std::string key, TextPlace place) {
  OpenNode& open = open_.back();
  open.key_merges = false;
  open.key.emplace();
  open.key->key = std::move(key);
  open.key->line = Clipped(place.line);
  open.key->column = Clipped(place.column);
}

void DocumentTreeBuilder::MergeKey(TextPlace place) {
  Key("<<", place);
  open_.back().key_merges = true;
}

void DocumentTreeBuilder::Repeat(NodeIndex node) { Place(node); }

NodeIndex DocumentTreeBuilder::Close() {
  OpenNode closed = std::move(open_.back());
  open_.pop_back();
  DocumentNode node;
  node.kind = closed.kind;
  node.height = 1;
  const auto grow = [&](NodeIndex child) {
    node.height = std::max(node.height, tree_.nodes_[child].height + 1);
  };
  if (closed.kind == DocumentNode::kArray) {
    node.first = static_cast<uint32_t>(tree_.items_.size());
    node.count = static_cast<uint32_t>(closed.items.size());
    tree_.items_.insert(tree_.items_.end(), closed.items.begin(), closed.items.end());
    for (const NodeIndex item : closed.items) grow(item);
  } else {
    SortMembers(&closed);
    node.first = static_cast<uint32_t>(tree_.members_.size());
    node.count = static_cast<uint32_t>(closed.members.size());
    for (DocumentMember& member : closed.members) {
      grow(member.value);
      tree_.members_.push_back(std::move(member));
    }
  }
  if (node.height > static_cast<uint32_t>(kHighestNesting)) {
    node.height = 1;  // told once, not again for all that is around it
    AddProblem(closed.place, absl::StrCat("aliases nest what begins here more than ",
                                          kHighestNesting, " levels deep: use fewer"));
  }
  const NodeIndex index = AddNode(std::move(node), closed.place);
  Place(index);
  return index;
}

void DocumentTreeBuilder::SortMembers(OpenNode* open) {
  const auto by_key = [](const DocumentMember& a, const DocumentMember& b) {
    return a.key < b.key;
  };
  std::stable_sort(open->members.begin(), open->members.end(), by_key);
  const auto end =
      std::unique(open->members.begin(), open->members.end(),
                  [this](const DocumentMember& kept, const DocumentMember& again) {
                    if (kept.key != again.key) return false;
                    AddProblem(again.place(),
                               absl::StrCat("the key `", again.key, "` is there already, on line ",
                                            kept.line, ": keep one of them"));
                    return true;
                  });
  open->members.erase(end, open->members.end());
  for (const DocumentMember& merge : std::exchange(open->merges, {})) {
    const DocumentNode& from = tree_.nodes_[merge.value];
    if (from.kind == DocumentNode::kArray) {
      for (const NodeIndex item : tree_.items(from)) Merge(open, merge, tree_.nodes_[item]);
    } else {
      Merge(open, merge, from);
    }
    std::stable_sort(open->members.begin(), open->members.end(), by_key);
    open->members.erase(std::unique(open->members.begin(), open->members.end(),
                                    [](const DocumentMember& kept, const DocumentMember& merged) {
                                      return kept.key == merged.key;
                                    }),
                        open->members.end());
  }
}

void DocumentTreeBuilder::Merge(OpenNode* open, const DocumentMember& merge,
                                const DocumentNode& from) {
  if (from.kind != DocumentNode::kObject) {
    AddProblem(merge.place(), "`<<` merges mappings only: give it one, or a list of them");
    return;
  }
  const auto members = tree_.members(from);
  open->members.insert(open->members.end(), members.begin(), members.end());
}

void DocumentTreeBuilder::AddProblem(TextPlace place, std::string message) {
  if (tree_.problems_.size() < kMaxProblems) tree_.problems_.push_back({place, std::move(message)});
}

bool DocumentTreeBuilder::awaits_key() const {
  return !open_.empty() && open_.back().kind == DocumentNode::kObject &&
         !open_.back().key.has_value();
}

DocumentTree DocumentTreeBuilder::Finish() { return std::move(tree_); }

void DocumentTreeBuilder::Place(NodeIndex node) {
  if (open_.empty()) {
    tree_.roots_.push_back(node);
    return;
  }
  OpenNode& open = open_.back();
  if (open.kind == DocumentNode::kArray) {
    open.items.push_back(node);
    return;
  }
  DocumentMember member = *std::exchange(open.key, std::nullopt);
  member.value = node;
  (open.key_merges ? open.merges : open.members).push_back(std::move(member));
}

NodeIndex DocumentTreeBuilder::AddNode(DocumentNode node, TextPlace place) {
  node.line = Clipped(place.line);
  node.column = Clipped(place.column);
  tree_.nodes_.push_back(std::move(node));
  return static_cast<NodeIndex>(tree_.nodes_.size() - 1);
}

}  // namespace confstream
