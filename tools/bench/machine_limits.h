// What the machine can give: the two figures that every speed of a kernel is
// measured against. One at a time, on an idle team.

#ifndef TANDEM_TOOLS_BENCH_MACHINE_LIMITS_H_
#define TANDEM_TOOLS_BENCH_MACHINE_LIMITS_H_

#include <cstddef>

#include "engine/base/cpu_features.h"
#include "engine/base/huge_page_buffer.h"
#include "engine/base/thread_team.h"

namespace tandem::bench {

// Plain reads of memory by all members of a team, each its own part, from huge
// pages where the system has them.
class ReadBandwidth {
 public:
  // Holds 256 MiB, more than any cache of one processor's share.
  ReadBandwidth();

  // Bytes per second of one pass over all of it.
  double Measure(ThreadTeam* team) const;

 private:
  HugePageBuffer memory_;
};

// 8-bit multiply-adds per second of all members together, at the level's
// widest instruction (vpdpbusd on 512 bits; vpmaddubsw and vpaddw on 256), from
// registers. 0 for the scalar level.
double Int8Peak(SimdLevel level, ThreadTeam* team);

}  // namespace tandem::bench

#endif  // TANDEM_TOOLS_BENCH_MACHINE_LIMITS_H_
