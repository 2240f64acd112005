//! What is there to read, as its readers get it: the documentation as a website.

mod book;
