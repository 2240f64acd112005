//! What stands in a page of Markdown besides its text.

/// A block of code: indented by four, or between fences.
pub(super) struct Block {
    /// What stands behind the fence.
    pub(super) language: String,
    /// The lines, without the indentation they have in common.
    pub(super) text: String,
}

/// All blocks of a page.
pub(super) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut indented = false;
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => add(block, line),
            (None, Some(language)) => open = Some(new(language)),
            (None, None) => {
                let code = line.strip_prefix("    ");
                if let (Some(code), Some(block), true) = (code, blocks.last_mut(), indented) {
                    add(block, code);
                } else if let Some(code) = code {
                    let mut block = new("");
                    add(&mut block, code);
                    blocks.push(block);
                }
                indented = code.is_some();
                continue;
            }
        }
        indented = false;
    }
    blocks
}

fn new(language: &str) -> Block {
    Block {
        language: language.trim().to_owned(),
        text: String::new(),
    }
}

fn add(block: &mut Block, line: &str) {
    block.text.push_str(line);
    block.text.push('\n');
}

/// Lines of a shell, those that `\` continues put together, without prompts.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push_str(line.trim());
            }
            _ => lines.push(line.trim().trim_start_matches("$ ").to_owned()),
        }
    }
    lines
}

/// `code` in the prose of a page.
pub(super) fn inline(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut paragraph = String::new();
    let mut fenced = false;
    for line in page.lines().chain([""]) {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        if is_fence || line.is_empty() || line.starts_with("    ") {
            found.extend(paragraph.split('`').skip(1).step_by(2).map(str::to_owned));
            paragraph.clear();
        } else if !fenced {
            paragraph.push_str(line.trim());
            paragraph.push(' ');
        }
    }
    found
}

#[test]
fn blocks_and_inline_code_are_told_apart() {
    let page = "Use `a\nb` and `c`.\n\n    one\n    two\n\n```yaml\nx: `y`\n```\nand `d`\n";
    let found = blocks(page);
    let shown: Vec<_> = found
        .iter()
        .map(|block| (&*block.language, &*block.text))
        .collect();
    assert_eq!(shown, [("", "one\ntwo\n"), ("yaml", "x: `y`\n")]);
    assert_eq!(inline(page), ["a b", "c", "d"]);
    assert_eq!(lines("$ a \\\n  b\nc"), ["a b", "c"]);
}
