#include "services/worker/schedule/fair_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  int Below(int limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int>((state_ >> 33) % static_cast<uint64_t>(limit));
  }

 private:
  uint64_t state_;
};

// What each of `claims` gets.
std::vector<int> Divide(FairShare* share, std::vector<RowClaim> claims,
                        const RowSupply& supply) {
  const int granted = share->Divide(absl::MakeSpan(claims), supply);
  std::vector<int> grants;
  for (const RowClaim& claim : claims) grants.push_back(claim.granted);
  EXPECT_EQ(std::accumulate(grants.begin(), grants.end(), 0), granted);
  return grants;
}

TEST(FairShareTest, AllGetWhatTheyWantWhereThereIsEnough) {
  FairShare share;
  std::vector<int> grants = Divide(&share,
                                   {{.id = 1, .tenant = "a", .rows = 3},
                                    {.id = 2, .tenant = "b", .rows = 0},
                                    {.id = 3, .tenant = "a", .rows = 5}},
                                   {.rows = 8, .portion = 4});
  EXPECT_THAT(grants, ElementsAre(3, 0, 5));
  grants = Divide(&share, {}, {.rows = 8, .portion = 1});
  EXPECT_THAT(grants, IsEmpty());
  grants = Divide(&share, {{.id = 1, .tenant = "a", .rows = 3}},
                  {.rows = 0, .portion = 1});
  EXPECT_THAT(grants, ElementsAre(0));
}

TEST(FairShareTest, TenantsShareEquallyHoweverManySessionsTheyHave) {
  FairShare share;
  std::vector<RowClaim> claims;
  for (uint64_t id = 0; id < 30; ++id) {
    claims.push_back({.id = id, .tenant = "many", .rows = 100});
  }
  claims.push_back({.id = 100, .tenant = "one", .rows = 100});
  std::vector<int> grants = Divide(&share, claims, {.rows = 64, .portion = 16});
  EXPECT_EQ(grants.back(), 32);
  EXPECT_EQ(std::accumulate(grants.begin(), grants.end(), 0), 64);
  // What the one does not want goes to the others.
  claims.back().rows = 5;
  grants = Divide(&share, claims, {.rows = 64, .portion = 16});
  EXPECT_EQ(grants.back(), 5);
  EXPECT_EQ(std::accumulate(grants.begin(), grants.end(), 0), 64);
}

TEST(FairShareTest, SessionsOfATenantTakeTurns) {
  FairShare share;
  std::vector<RowClaim> claims;
  for (uint64_t id = 0; id < 5; ++id) {
    claims.push_back({.id = id, .tenant = "a", .rows = 1});
  }
  std::vector<int> served(5);
  std::vector<int> grants;
  for (int pass = 0; pass < 5; ++pass) {
    grants = Divide(&share, claims, {.rows = 2, .portion = 1});
    for (size_t i = 0; i < 5; ++i) served[i] += grants[i];
  }
  EXPECT_THAT(served, ElementsAre(2, 2, 2, 2, 2));
}

TEST(FairShareTest, WhoWantedLittleGetsNoCreditForIt) {
  FairShare share;
  std::vector<int> grants;
  const auto divide = [&](int rows_of_light) {
    grants = Divide(&share,
                    {{.id = 1, .tenant = "heavy", .rows = 100},
                     {.id = 2, .tenant = "light", .rows = rows_of_light}},
                    {.rows = 10, .portion = 1});
  };
  for (int pass = 0; pass < 100; ++pass) {
    divide(1);
    EXPECT_THAT(grants, ElementsAre(9, 1));
  }
  // 100 passes with less than its share do not let it take all now.
  divide(100);
  EXPECT_GE(grants[0], 4);
  EXPECT_GE(grants[1], 5);
}

TEST(FairShareTest, WhoComesNewDoesNotCatchUpWithThePast) {
  FairShare share;
  std::vector<int> grants;
  for (int pass = 0; pass < 100; ++pass) {
    grants = Divide(&share, {{.id = 1, .tenant = "old", .rows = 100}},
                    {.rows = 10, .portion = 1});
  }
  grants = Divide(&share,
                  {{.id = 1, .tenant = "old", .rows = 100},
                   {.id = 2, .tenant = "new", .rows = 100}},
                  {.rows = 10, .portion = 1});
  EXPECT_THAT(grants, ElementsAre(5, 5));
}

TEST(FairShareTest, GoingAwayDoesNotClearTheAccount) {
  FairShare share;
  std::vector<int> grants;
  // One portion takes the whole pass.
  const RowSupply supply = {.rows = 16, .portion = 16};
  const RowClaim a = {.id = 1, .tenant = "a", .rows = 100};
  const RowClaim b = {.id = 2, .tenant = "b", .rows = 100};
  const RowClaim c = {.id = 3, .tenant = "c", .rows = 100};
  grants = Divide(&share, {a, b, c}, supply);
  EXPECT_THAT(grants, ElementsAre(16, 0, 0));
  grants = Divide(&share, {b, c}, supply);
  EXPECT_THAT(grants, ElementsAre(16, 0));
  // Back again, a has had its part, and c has not.
  grants = Divide(&share, {a, b, c}, supply);
  EXPECT_THAT(grants, ElementsAre(0, 0, 16));
  grants = Divide(&share, {a, b, c}, supply);
  EXPECT_THAT(grants, ElementsAre(16, 0, 0));
}

// Random tenants, sessions, claims and supplies. Over every stretch of passes
// in which two tenants both go short their rows differ by a pass's portion at
// most, and likewise for two sessions of a tenant; and nothing is left over
// while somebody wants it.
TEST(FairShareTest, NobodyFallsBehindByMoreThanAPortion) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    FairShare share;
    const int tenants = 1 + random.Below(5);
    const int sessions = 1 + random.Below(6);
    const RowSupply supply = {.rows = 1 + random.Below(64),
                              .portion = 1 + random.Below(20)};
    // Rows since both of a pair went short without a break.
    std::map<std::pair<std::string, std::string>, int64_t> tenant_gap;
    std::map<std::pair<uint64_t, uint64_t>, int64_t> session_gap;
    for (int pass = 0; pass < 60; ++pass) {
      std::vector<std::string> names;
      std::vector<RowClaim> claims;
      names.reserve(static_cast<size_t>(tenants));
      for (int t = 0; t < tenants; ++t) {
        names.push_back(std::string(1, static_cast<char>('a' + t)));
        const bool is_busy = random.Below(4) != 0;
        for (int s = 0; s < sessions; ++s) {
          claims.push_back({.id = static_cast<uint64_t>(t * 100 + s),
                            .tenant = names.back(),
                            .rows = is_busy ? random.Below(80) : 0});
        }
      }
      std::vector<int> grants = Divide(&share, claims, supply);

      int wanted = 0, granted = 0;
      std::map<std::string, int> rows;
      std::map<std::string, bool> goes_short;
      for (size_t i = 0; i < claims.size(); ++i) {
        ASSERT_GE(grants[i], 0);
        ASSERT_LE(grants[i], claims[i].rows);
        wanted += claims[i].rows;
        granted += grants[i];
        const std::string name(claims[i].tenant);
        rows[name] += grants[i];
        goes_short[name] |= grants[i] < claims[i].rows;
      }
      ASSERT_EQ(granted, std::min(wanted, supply.rows));
      for (const auto& [a, rows_a] : rows) {
        for (const auto& [b, rows_b] : rows) {
          int64_t& gap = tenant_gap[{a, b}];
          gap = goes_short[a] && goes_short[b] ? gap + rows_a - rows_b : 0;
          // Where a stretch begins one may be a portion behind, at its end
          // the other.
          ASSERT_LE(gap, 2 * supply.portion) << seed << " pass " << pass;
        }
      }
      for (size_t i = 0; i < claims.size(); ++i) {
        for (size_t j = 0; j < claims.size(); ++j) {
          if (claims[i].tenant != claims[j].tenant) continue;
          int64_t& gap = session_gap[{claims[i].id, claims[j].id}];
          gap = grants[i] < claims[i].rows && grants[j] < claims[j].rows
                    ? gap + grants[i] - grants[j]
                    : 0;
          ASSERT_LE(gap, 2 * supply.portion) << seed << " pass " << pass;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tandem
