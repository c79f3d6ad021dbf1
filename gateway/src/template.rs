//! The template's own small language: placeholders, and sections that are there or not. Which there are is not known here.

use serde_json::Value;

use crate::RenderError;

/// A text with `${NAME}` for values, and lines `# if NAME` and `# end if` around what is not always wanted.
pub(crate) struct Template<'a> {
    pub(crate) text: &'a str,
    /// Each that there is, and whether it is wanted.
    pub(crate) sections: &'a [(&'static str, bool)],
}

impl Template<'_> {
    /// The text with these values, and without the sections that are not wanted.
    pub(crate) fn filled(&self, values: &[(&'static str, Value)]) -> Result<String, RenderError> {
        let text = self.wanted()?;
        let mut filled = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or(RenderError::Unclosed)?;
            let (_, value) = values
                .iter()
                .find(|(known, _)| *known == name)
                .ok_or_else(|| RenderError::Unfilled(name.to_owned()))?;
            filled.push_str(before);
            // JSON is YAML too, whatever the value holds.
            filled.push_str(&value.to_string());
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// Sections do not nest.
    fn wanted(&self) -> Result<String, RenderError> {
        let mut wanted = String::with_capacity(self.text.len());
        let mut section: Option<(&str, bool)> = None;
        for line in self.text.lines() {
            let unknown = || RenderError::Section(line.trim().to_owned());
            if let Some(name) = line.trim_start().strip_prefix("# if ") {
                let found = self.sections.iter().find(|(known, _)| *known == name);
                if section.is_some() {
                    return Err(unknown());
                }
                section = Some(*found.ok_or_else(unknown)?);
            } else if line.trim_start() == "# end if" {
                section.take().ok_or_else(unknown)?;
            } else if section.is_none_or(|(_, wanted)| wanted) {
                wanted.push_str(line);
                wanted.push('\n');
            }
        }
        match section {
            None => Ok(wanted),
            Some((name, _)) => Err(RenderError::Section(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(text: &str) -> Result<String, RenderError> {
        let sections = &[("tls", true), ("plain", false)];
        Template { text, sections }.filled(&[("PORT", json!(8080)), ("NAME", json!("a\"b"))])
    }

    #[test]
    fn values_and_wanted_sections_are_there_and_no_others() {
        let text =
            "port: ${PORT} # ${NAME}\n  # if tls\n  a: 1\n  # end if\n# if plain\nb: ${UNKNOWN}\n# end if\nc: 2\n";
        assert_eq!(filled(text).unwrap(), "port: 8080 # \"a\\\"b\"\n  a: 1\nc: 2\n");
    }

    #[test]
    fn what_is_unknown_or_unclosed_is_named() {
        let section = |name: &str| Err(RenderError::Section(name.to_owned()));
        assert_eq!(filled("${ELSE}"), Err(RenderError::Unfilled("ELSE".to_owned())));
        assert_eq!(filled("${PORT"), Err(RenderError::Unclosed));
        assert_eq!(filled("# if tls\n"), section("tls"));
        assert_eq!(filled("# end if\n"), section("# end if"));
        assert_eq!(filled("# if tls\n# if plain\n# end if\n"), section("# if plain"));
        assert_eq!(filled("# if tsl\n# end if\n"), section("# if tsl"));
    }
}
