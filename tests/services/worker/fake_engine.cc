// The fake engine of the session tests, built into this program too.
#include "tests/engine/session/fake_engine.cc"
