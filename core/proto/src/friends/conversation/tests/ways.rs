//! Messages that go by one way only.

use super::*;
