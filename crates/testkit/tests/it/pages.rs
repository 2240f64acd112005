//! What is there to read, as its readers get it: the documentation as a website, manual pages, the completions of shells.

mod book;
mod completions;
mod manual;
