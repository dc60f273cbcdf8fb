#include "process_group.h"

namespace warpbert {

static ProcessGroup* joined_group = nullptr;

ProcessGroup& ProcessGroup::world() {
  static ProcessGroup group;
  joined_group = &group;
  return group;
}

ProcessGroup* ProcessGroup::joined() { return joined_group; }

}  // namespace warpbert
