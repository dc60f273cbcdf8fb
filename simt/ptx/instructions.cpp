// PTX instructions of our kernels, by their names in the PTX ISA.
#include "instructions.h"

namespace ptx {
namespace {

void nothing(Warp&, const Instruction&, Mask) {}

const Table& table() {
  static const Table all = [] {
    Table t;
    add_arithmetic(t), add_memory(t), add_collectives(t);
    add(t, "bar.sync", Unit::control, nothing, Rendezvous::barrier);
    add(t, "bar.warp.sync", Unit::control, nothing, Rendezvous::warp_barrier);
    add(t, "bra", Unit::control, nothing, Rendezvous::branch);
    add(t, "bra.uni", Unit::control, nothing, Rendezvous::branch);
    add(t, "ret", Unit::control, nothing, Rendezvous::end);
    return t;
  }();
  return all;
}

}  // namespace

const Known* known(const std::string& opcode) {
  const auto found = table().find(opcode);
  return found == table().end() ? nullptr : &found->second;
}

}  // namespace ptx
