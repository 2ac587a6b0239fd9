//! A line for people: text in pieces, each with a tone, and how it continues where it does not fit.
//!
//! A tone is shown as a colour where colours are on, and never says anything that the words do not say.
//! Texts may be untrusted: `Line::safe` makes a line harmless before it is printed.

use anstyle::{AnsiColor, Style};

use crate::text::safe;

/// Whether lines are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// They are.
    Colored,
    /// They hold nothing but text.
    #[default]
    Plain,
}

/// What a piece of text is to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    Plain,
    /// What the eye should find first.
    Strong,
    /// All is well.
    Good,
    /// Something failed.
    Bad,
    /// Something to know before trusting the rest.
    Caution,
    /// What to do.
    Advice,
    /// What few readers need.
    Faint,
}

impl Tone {
    /// How a terminal shows it.
    pub(crate) fn style(self) -> Style {
        let colored = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Good => colored(AnsiColor::Green).bold(),
            Self::Bad => colored(AnsiColor::Red).bold(),
            Self::Caution => colored(AnsiColor::Yellow),
            Self::Advice => colored(AnsiColor::Cyan).bold(),
            Self::Faint => Style::new().dimmed(),
        }
    }
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pieces: Vec<(Tone, String)>,
    hang: usize,
}

impl Line {
    /// A line that begins with this text.
    pub(crate) fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self::default().with(tone, text)
    }

    /// Adds text to its end.
    #[must_use]
    pub(crate) fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.pieces.push((tone, text.into()));
        self
    }

    /// Where it does not fit, it continues in this column, counted from 0.
    #[must_use]
    pub(crate) fn hanging(self, hang: usize) -> Self {
        Self { hang, ..self }
    }

    /// Its text.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Its length, in characters.
    pub(crate) fn length(&self) -> usize {
        self.pieces.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// The same line, harmless in a log. It loses its tones where its pieces are harmless only each by itself.
    pub(crate) fn safe(&self) -> Self {
        let whole = safe(&self.text());
        let pieces: Vec<(Tone, String)> = self.pieces.iter().map(|(tone, text)| (*tone, safe(text))).collect();
        let line = Self { pieces, hang: self.hang };
        if line.text() == whole { line } else { Self::of(Tone::Plain, whole).hanging(self.hang) }
    }

    /// The line with the escapes that colour it. Call it on a safe line only.
    pub(crate) fn painted(&self) -> String {
        let paint = |(tone, text): &(Tone, String)| match tone.style() {
            style if style == Style::new() => text.clone(),
            style => format!("{style}{text}{style:#}"),
        };
        self.pieces.iter().map(paint).collect()
    }

    /// The lines that it takes at this width. A word that is too long stays whole, as does what is
    /// between two backticks: it may be a command that somebody copies.
    pub(crate) fn fitted(&self, columns: usize) -> Vec<Self> {
        let text: Vec<char> = self.text().chars().collect();
        if text.len() <= columns {
            return vec![self.clone()];
        }
        let (mut lines, mut begin, mut room) = (Vec::new(), 0, columns);
        let indent = text.iter().take_while(|c| **c == ' ').count();
        let mut last_break = None;
        for space in breaks(&text).into_iter().filter(|at| *at > indent).chain([text.len()]) {
            if space - begin > room
                && let Some(end) = last_break
                && end > begin
            {
                lines.push((begin, end));
                (begin, room) = (end + 1, columns.saturating_sub(self.hang));
            }
            last_break = Some(space);
        }
        lines.push((begin, text.len()));
        let line = |(number, (from, to)): (usize, (usize, usize))| {
            let hang = if number == 0 { 0 } else { self.hang };
            Self { pieces: self.cut(from, to, hang), hang: self.hang }
        };
        lines.into_iter().enumerate().map(line).collect()
    }

    /// The characters from `from` to before `to`, after so many spaces.
    fn cut(&self, from: usize, to: usize, indent: usize) -> Vec<(Tone, String)> {
        let mut pieces = vec![(Tone::Plain, " ".repeat(indent))];
        let mut at = 0;
        for (tone, text) in &self.pieces {
            let kept = text.chars().enumerate().filter(|(index, _)| (from..to).contains(&(at + index)));
            pieces.push((*tone, kept.map(|(_, c)| c).collect()));
            at += text.chars().count();
        }
        pieces.retain(|(_, text)| !text.is_empty());
        pieces
    }
}

/// The places of the spaces at which a line may be broken.
fn breaks(text: &[char]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            '`' => at = text[at + 1..].iter().position(|c| *c == '`').map_or(at, |length| at + 1 + length),
            ' ' => places.push(at),
            _ => {}
        }
        at += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::{Line, Tone};
    use crate::formats::samples::HOSTILE;
    use crate::text::{deceives, safe};

    fn fitted(text: &str, columns: usize) -> Vec<String> {
        Line::of(Tone::Plain, text).hanging(4).fitted(columns).iter().map(Line::text).collect()
    }

    #[test]
    fn a_line_is_broken_at_spaces_and_never_inside_a_command() {
        assert_eq!(fitted("  one two three four", 20), ["  one two three four"]);
        assert_eq!(fitted("  one two three four", 12), ["  one two", "    three", "    four"]);
        assert_eq!(fitted("run `a b c d e f g` again", 10), ["run", "    `a b c d e f g`", "    again"]);
        assert_eq!(fitted("it`s not closed, so break", 12), ["it`s not", "    closed,", "    so break"]);
        assert_eq!(fitted("unbreakable-and-long x", 6), ["unbreakable-and-long", "    x"]);
        for columns in 0..30 {
            let words: Vec<String> = fitted("  a b `c d` e", columns);
            assert_eq!(words.join(" ").split_whitespace().collect::<String>(), "ab`cd`e", "{columns}");
        }
    }

    #[test]
    fn the_parts_of_a_line_keep_their_tones() {
        let line = Line::of(Tone::Bad, "red red").with(Tone::Faint, " dim dim").hanging(2);
        let lines = line.fitted(8);
        assert_eq!(lines[0], Line::of(Tone::Bad, "red red").hanging(2));
        assert_eq!(lines[1], Line::of(Tone::Plain, "  ").with(Tone::Faint, "dim").hanging(2));
        assert_eq!(Line::of(Tone::Plain, "a").with(Tone::Caution, "b").painted(), "a\u{1b}[33mb\u{1b}[0m");
    }

    #[test]
    fn hostile_pieces_are_as_harmless_as_the_whole_line() {
        for text in HOSTILE {
            let line =
                Line::of(Tone::Bad, *text).with(Tone::Plain, *text).with(Tone::Good, "#").with(Tone::Bad, "#[x]");
            let (safe_line, whole) = (line.safe(), safe(&line.text()));
            assert_eq!(safe_line.text(), whole);
            // The escapes that there are came from the tones.
            let ours = [Tone::Bad, Tone::Good].map(|tone| format!("{}", tone.style()));
            let painted = ours.iter().fold(safe_line.painted(), |text, escape| text.replace(escape, ""));
            assert!(!painted.replace("\u{1b}[0m", "").chars().any(deceives), "{text:?}");
        }
    }
}
