//! seawall-sim
