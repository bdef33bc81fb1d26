//! `safety`: the number that two friends compare.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;

/// Show the number that you and a friend compare
///
/// The same 60 digits on both sides: if you see the same, nobody stands between you. Compare them side by side, or
/// read them to each other over another channel.
#[derive(Debug, clap::Args)]
pub(crate) struct Safety {
    /// Who: a name, the identity, or the beginning of it
    person: String,
}

impl Safety {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find(context.node, &self.person)?;
        let number = context.node.friend_safety_number(person)?;
        let name = context.names.of(&person);
        context.output.show(
            &json!({"type": "safety_number", "person": person.text(), "number": number}),
            format_args!(
                "{}\n{name} sees the same digits with `subrosa safety`, or somebody stands between you: compare all \
                 of them side by side, or by voice.",
                in_groups(&number)
            ),
        )?;
        Ok(Exit::Done)
    }
}

/// Groups of five digits, four to a line, so that they can be read out.
fn in_groups(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    let lines = digits.chunks(20).map(|line| {
        let groups = line.chunks(5).map(|group| group.iter().collect::<String>());
        groups.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::in_groups;

    #[test]
    fn sixty_digits_are_three_lines_of_four_groups() {
        let shown = in_groups(&"1234567890".repeat(6));
        assert_eq!(shown, ["12345 67890 12345 67890"; 3].join("\n"));
    }
}
