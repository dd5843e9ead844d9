//! What policies are refused for, in the words that their authors read.
