// Makes a DocumentTree out of what a parser reports.

#ifndef CONFSTREAM_SERVER_VALIDATE_DOCUMENT_TREE_BUILDER_H_
#define CONFSTREAM_SERVER_VALIDATE_DOCUMENT_TREE_BUILDER_H_

#include <optional>
#include <string>
#include <vector>

#include "server/validate/document_tree.h"

namespace confstream {

// Takes values in the order of the text: a value that is not inside another is a document.
// Thread-compatible, for one tree.
class DocumentTreeBuilder {
 public:
  // Each returns the node that it added.
  NodeIndex Scalar(nlohmann::json value, TextPlace place);
  NodeIndex Close();

  // `kind`: kArray or kObject.
  void Open(DocumentNode::Kind kind, TextPlace place);
  // The next value belongs to this key. REQUIRES: inside an object.
  void Key(std::string key, TextPlace place);
  // The members of the next value, or of the objects in it if it is an array, belong to the object
  // that is open, unless it has them itself. REQUIRES: inside an object.
  void MergeKey(TextPlace place);
  // The next value is this node, which is there already.
  void Repeat(NodeIndex node);

  void AddProblem(TextPlace place, std::string message);
  // True right after Open() of an object, or after a value in one: a key comes next.
  bool awaits_key() const;

  DocumentTree Finish();

 private:
  struct OpenNode {
    DocumentNode::Kind kind;
    TextPlace place;
    std::vector<NodeIndex> items;
    std::vector<DocumentMember> members;
    std::optional<DocumentMember> key;  // that awaits its value
    bool key_merges = false;
    std::vector<DocumentMember> merges;  // what MergeKey() announced
  };

  void Place(NodeIndex node);
  void Merge(OpenNode* open, const DocumentMember& merge, const DocumentNode& from);
  void SortMembers(OpenNode* open);
  NodeIndex AddNode(DocumentNode node, TextPlace place);

  DocumentTree tree_;
  std::vector<OpenNode> open_;  // outermost first
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_DOCUMENT_TREE_BUILDER_H_
