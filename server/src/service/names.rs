//! The names of people and channels: which texts are fit to be shown, and which are the same name.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// A name of 1 to 32 characters, in NFKC, with the key under which it is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    shown: String,
    key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the name is empty; choose one of 1 to {0} characters")]
    Empty(usize),
    #[error("the name is longer than {0} characters; choose a shorter one")]
    TooLong(usize),
    #[error("the name has an invisible or control character (U+{:04X}); remove it", u32::from(*.0))]
    Invisible(char),
}

impl Username {
    pub const MAX_CHARS: usize = 32;

    pub fn parse(raw: &str) -> Result<Self, NameError> {
        let shown = line(&raw.nfkc().collect::<String>(), Self::MAX_CHARS)?;
        let key = Self::key_of(&shown);
        Ok(Self { shown, key })
    }

    /// The key that a name would have, fit or not: who signs in is looked up, not judged.
    pub fn key_of(raw: &str) -> String {
        let trimmed: String = raw.trim().nfkc().collect();
        // Folding can undo the normalisation (Unicode §3.13, D146), hence the second pass.
        caseless::default_case_fold_str(&trimmed).nfkc().collect()
    }

    pub fn as_str(&self) -> &str {
        &self.shown
    }

    pub fn key(&self) -> &str {
        &self.key
    }
}

/// One line of 1 to `max` visible characters, without the white space around it.
pub fn line(raw: &str, max: usize) -> Result<String, NameError> {
    let trimmed = raw.trim();
    if let Some(c) = trimmed.chars().find(|&c| is_invisible(c)) {
        return Err(NameError::Invisible(c));
    }
    match trimmed.chars().count() {
        0 => Err(NameError::Empty(max)),
        n if n > max => Err(NameError::TooLong(max)),
        _ => Ok(trimmed.to_owned()),
    }
}

/// Whether a character could make two names look alike, or reorder the text around it.
pub fn is_invisible(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse};
    // Control and Format hold all bidi controls, joiners, tags and the byte order mark.
    matches!(c.general_category(), Control | Format | LineSeparator | ParagraphSeparator | PrivateUse)
        || IGNORABLE.iter().any(|range| range.contains(&c))
}

/// Default_Ignorable_Code_Point beyond the categories above (Unicode DerivedCoreProperties), and the blank braille cell.
const IGNORABLE: [std::ops::RangeInclusive<char>; 9] = [
    '\u{034F}'..='\u{034F}',
    '\u{115F}'..='\u{1160}',
    '\u{17B4}'..='\u{17B5}',
    '\u{180B}'..='\u{180F}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{FE00}'..='\u{FE0F}',
    '\u{FFA0}'..='\u{FFA0}',
    '\u{E0100}'..='\u{E01EF}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_only_in_case_or_width_are_one() {
        let key = |raw| Username::parse(raw).expect("a name").key().to_owned();
        assert_eq!(key("Straße"), key("STRASSE"));
        assert_eq!(key("Ａｄａ"), key("ada"));
        assert_eq!(key("ﬁn"), key("FIN"));
        assert_eq!(key("  ada "), key("Ada"));
        assert_ne!(key("ada"), key("adam"));
    }

    #[test]
    fn names_are_shown_in_nfkc_without_space_around() {
        assert_eq!(Username::parse(" Ａｄａ ").expect("a name").as_str(), "Ada");
    }

    #[test]
    fn length_counts_characters() {
        assert!(Username::parse(&"ä".repeat(32)).is_ok());
        assert_eq!(Username::parse(&"ä".repeat(33)), Err(NameError::TooLong(32)));
        assert_eq!(Username::parse("  "), Err(NameError::Empty(32)));
    }

    #[test]
    fn what_cannot_be_seen_is_refused() {
        for c in
            ['\0', '\n', '\u{7F}', '\u{200B}', '\u{202E}', '\u{2066}', '\u{FEFF}', '\u{FE0F}', '\u{E0041}']
        {
            let refused = Username::parse(&format!("a{c}b"));
            assert_eq!(refused, Err(NameError::Invisible(c)), "U+{:04X}", u32::from(c));
        }
    }
}
