// Checks a document against a schema that valijson has read.

#ifndef CONFSTREAM_SERVER_VALIDATE_SCHEMA_VISITOR_H_
#define CONFSTREAM_SERVER_VALIDATE_SCHEMA_VISITOR_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <valijson/constraints/constraint_visitor.hpp>
#include <valijson/subschema.hpp>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/validate/document_tree.h"
#include "server/validate/file_violation.h"
#include "server/validate/pattern_set.h"
#include "server/validate/violation_list.h"

namespace confstream {

// The rule of all that a schema refuses.
inline constexpr char kSchemaRule[] = "schema";

// valijson has a visitor of its own, which content can bring down: its regular expressions recur
// for every character, its errors take as much memory as there are wrong values, and nothing bounds
// its time. It knows no places, either. This one does what draft 7 says within bounds; `format` is
// an annotation to it, and not checked. Thread-compatible, for one document.
class SchemaVisitor final : public valijson::constraints::ConstraintVisitor {
 public:
  // As many values are looked at, some of them more than once.
  static constexpr int64_t kMaxSteps = 5'000'000;

  // `path` is the file's. With `quotes_content` messages name the place inside the document, too.
  // All outlive the visitor.
  SchemaVisitor(absl::string_view path, const DocumentTree* tree, const PatternSet* patterns,
                bool quotes_content, ViolationList* found);

  // Adds to `found` all that `schema` refuses of the document, or that looking for it takes too
  // long.
  void Visit(const valijson::Subschema& schema, NodeIndex root);

  bool visit(const AllOfConstraint& constraint) override;
  bool visit(const AnyOfConstraint& constraint) override;
  bool visit(const ConditionalConstraint& constraint) override;
  bool visit(const ConstConstraint& constraint) override;
  bool visit(const ContainsConstraint& constraint) override;
  bool visit(const DependenciesConstraint& constraint) override;
  bool visit(const EnumConstraint& constraint) override;
  bool visit(const FormatConstraint& constraint) override;
  bool visit(const LinearItemsConstraint& constraint) override;
  bool visit(const MaxItemsConstraint& constraint) override;
  bool visit(const MaximumConstraint& constraint) override;
  bool visit(const MaxLengthConstraint& constraint) override;
  bool visit(const MaxPropertiesConstraint& constraint) override;
  bool visit(const MinItemsConstraint& constraint) override;
  bool visit(const MinimumConstraint& constraint) override;
  bool visit(const MinLengthConstraint& constraint) override;
  bool visit(const MinPropertiesConstraint& constraint) override;
  bool visit(const MultipleOfDoubleConstraint& constraint) override;
  bool visit(const MultipleOfIntConstraint& constraint) override;
  bool visit(const NotConstraint& constraint) override;
  bool visit(const OneOfConstraint& constraint) override;
  bool visit(const PatternConstraint& constraint) override;
  bool visit(const PolyConstraint& constraint) override;
  bool visit(const PropertiesConstraint& constraint) override;
  bool visit(const PropertyNamesConstraint& constraint) override;
  bool visit(const RequiredConstraint& constraint) override;
  bool visit(const SingularItemsConstraint& constraint) override;
  bool visit(const TypeConstraint& constraint) override;
  bool visit(const UniqueItemsConstraint& constraint) override;

 private:
  // One step from the document's root to the value that is looked at.
  struct Step {
    const DocumentMember* member;  // null: an array's item
    size_t index;
  };
  // One of several schemas, of which one at least must accept the value.
  struct Alternative {
    size_t depth;               // of the value
    bool type_refused = false;  // the value's own type is not what this schema is about
    ViolationList found;
  };

  // Each returns false if the value is refused.
  bool Check(const valijson::Subschema& schema, const DocumentNode& node);
  bool CheckItem(const valijson::Subschema& schema, size_t index);
  bool CheckMember(const valijson::Subschema& schema, const DocumentMember& member);
  // The same without telling anybody.
  bool Accepts(const valijson::Subschema& schema, const DocumentNode& node);
  // Of the schemas of `constraint`; if it is none, what the only one says that is about values of
  // this type is told, or that all refuse it.
  template <typename Constraint>
  int64_t CountAccepting(const Constraint& constraint, absl::string_view keyword);

  // False: looking has taken too long, so nothing is looked at any more.
  bool Take(int64_t steps);
  // Adds a violation at `place`, whose message is that of the value, and returns false.
  template <typename Message>
  bool Refuse(TextPlace place, const Message& message) {
    if (Wants(place)) Report(place, message());
    return false;
  }
  template <typename Message>
  bool Refuse(const Message& message) {
    return Refuse(node_->place(), message);
  }
  // False: the violation is none that is kept; if it is one, it has been counted.
  bool Wants(TextPlace place);
  void Report(TextPlace place, absl::string_view message);
  // What messages call the value: its JSON pointer.
  std::string Subject() const;

  bool is_array() const { return node_->kind == DocumentNode::kArray; }
  bool is_object() const { return node_->kind == DocumentNode::kObject; }
  bool is_number() const { return node_->scalar.is_number(); }
  const std::string* text() const { return node_->scalar.get_ptr<const std::string*>(); }

  const absl::string_view path_;
  const DocumentTree& tree_;
  const PatternSet& patterns_;
  const bool quotes_content_;

  ViolationList* found_;  // null: the answer counts, the reasons do not
  const DocumentNode* node_ = nullptr;
  std::vector<Step> way_;  // from the root to node_
  Alternative* alternative_ = nullptr;
  int depth_ = 0;  // of schemas inside one another
  int64_t steps_left_ = kMaxSteps;
  bool too_deep_ = false;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_SCHEMA_VISITOR_H_
