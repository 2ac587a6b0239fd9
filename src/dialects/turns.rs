//! What the messages of a request hold, as far as it shows for which endpoint they were written.
//!
//! Only plain lines are looked into, in the visit that reads them: see [`crate::json::fast`]. Texts are passed over.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json::lenient::Seen;

/// Something that was seen in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Sight {
    /// A part `text` or `image_url`.
    ChatPart = 1,
    /// A part `input_text` or `input_image`.
    ResponsesPart = 2,
    /// A part `input_image` whose `image_url` is an object.
    ObjectInInputImage = 4,
    /// A part `image_url` whose `image_url` is a string.
    StringInImageUrl = 8,
    /// A part `image_url` whose `image_url` is an object.
    ObjectInImageUrl = 16,
    /// A message with two roles or two contents.
    Repeated = 32,
}

/// What was seen in messages. It shows as nothing: it is not read from all lines.
#[derive(Default)]
pub(crate) struct Notes<'de> {
    /// The first role that no endpoint knows.
    pub(crate) odd_role: Option<Cow<'de, str>>,
    sights: u8,
}

impl fmt::Debug for Notes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notes")
    }
}

impl<'de> Notes<'de> {
    /// Whether there was such a thing.
    pub(crate) fn has(&self, sight: Sight) -> bool {
        self.sights & sight as u8 != 0
    }

    /// Whether there is nothing to say of them.
    pub(crate) fn is_plain(&self) -> bool {
        self.sights == 0 && self.odd_role.is_none()
    }

    fn add(&mut self, sight: Sight) {
        self.sights |= sight as u8;
    }

    #[inline]
    fn add_role(&mut self, role: Cow<'de, str>) {
        // The roles that any endpoint knows.
        let is_known = matches!(&*role, "user" | "assistant" | "system" | "developer" | "tool" | "function");
        if !is_known && self.odd_role.is_none() {
            self.odd_role = Some(role);
        }
    }
}

/// Reads the `messages` or the `input` of a request into its place: what it is as a whole, and what is in it.
pub(crate) fn put_turns<'p, 'de, A: MapAccess<'de>>(
    place: &'p mut Seen<'de>,
    notes: &mut Notes<'de>,
    map: &mut A,
) -> Result<&'p Seen<'de>, A::Error> {
    map.next_value_seed(FillTurns(&mut *place, notes))?;
    Ok(place)
}

struct FillTurns<'a, 'de>(&'a mut Seen<'de>, &'a mut Notes<'de>);

impl<'de> DeserializeSeed<'de> for FillTurns<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for FillTurns<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("messages")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        *self.0 = Seen::Null;
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.0 = Seen::deserialize(deserializer)?;
        Ok(())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        *self.0 = Seen::Object;
        pass_over(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(seen, notes) = self;
        let first = seq.next_element_seed(Within(Level::FirstTurn, &mut *notes))?;
        let (mut len, of_numbers) = (u64::from(first.is_some()), first.unwrap_or_default());
        while seq.next_element_seed(Within(Level::Turn, &mut *notes))?.is_some() {
            len += 1;
        }
        *seen = Seen::Array { len, of_numbers };
        Ok(())
    }
}

/// How deep inside messages a value is.
#[derive(Clone, Copy)]
enum Level {
    /// The first of the messages, which may be a number instead: then an `input` is one list of tokens.
    FirstTurn,
    /// Another of the messages.
    Turn,
    /// What a message says.
    Content,
    /// One of the parts of that.
    Part,
}

/// Looks into a value. Says whether the first of the messages is a number, and of everything else that it is not.
struct Within<'a, 'de>(Level, &'a mut Notes<'de>);

impl<'de> DeserializeSeed<'de> for Within<'_, 'de> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Within<'_, 'de> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of messages")
    }

    fn visit_none<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        match self.0 {
            Level::FirstTurn => Ok(matches!(Seen::deserialize(deserializer)?, Seen::Number(_))),
            Level::Turn | Level::Content | Level::Part => IgnoredAny::deserialize(deserializer).map(|_| false),
        }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        match self.0 {
            Level::Content => while seq.next_element_seed(Within(Level::Part, &mut *self.1))?.is_some() {},
            Level::FirstTurn | Level::Turn | Level::Part => while seq.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        match self.0 {
            Level::FirstTurn | Level::Turn => turn(map, self.1)?,
            Level::Content => pass_over(map)?,
            Level::Part => part(map, self.1)?,
        }
        Ok(false)
    }
}

/// The members of messages and parts that are looked into.
enum Member {
    Role,
    Content,
    Type,
    ImageUrl,
    Other,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Member, E> {
                Ok(match name {
                    "role" => Member::Role,
                    "content" => Member::Content,
                    "type" => Member::Type,
                    "image_url" => Member::ImageUrl,
                    _ => Member::Other,
                })
            }
        }
        deserializer.deserialize_str(Name)
    }
}

fn turn<'de, A: MapAccess<'de>>(mut map: A, notes: &mut Notes<'de>) -> Result<(), A::Error> {
    let (mut roles, mut contents) = (0, 0);
    while let Some(member) = map.next_key()? {
        match member {
            Member::Role => {
                map.next_value_seed(Role(&mut *notes))?;
                roles += 1;
            }
            Member::Content => {
                map.next_value_seed(Within(Level::Content, &mut *notes))?;
                contents += 1;
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    if roles > 1 || contents > 1 {
        notes.add(Sight::Repeated);
    }
    Ok(())
}

/// Takes note of a role, if it is a text.
struct Role<'a, 'de>(&'a mut Notes<'de>);

impl<'de> DeserializeSeed<'de> for Role<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Role<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a role")
    }

    fn visit_borrowed_str<E: Error>(self, role: &'de str) -> Result<(), E> {
        self.0.add_role(Cow::Borrowed(role));
        Ok(())
    }

    fn visit_str<E: Error>(self, role: &str) -> Result<(), E> {
        self.0.add_role(Cow::Owned(role.to_owned()));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        pass_over(map)
    }
}

fn part<'de, A: MapAccess<'de>>(mut map: A, notes: &mut Notes<'de>) -> Result<(), A::Error> {
    let (mut kind, mut image) = (Seen::Absent, Seen::Absent);
    while let Some(member) = map.next_key()? {
        match member {
            Member::Type => kind = map.next_value()?,
            Member::ImageUrl => image = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    match kind.text() {
        Some("text") => notes.add(Sight::ChatPart),
        Some("input_text") => notes.add(Sight::ResponsesPart),
        Some("image_url") => {
            notes.add(Sight::ChatPart);
            match image {
                Seen::Text(_) => notes.add(Sight::StringInImageUrl),
                Seen::Object => notes.add(Sight::ObjectInImageUrl),
                _ => {}
            }
        }
        Some("input_image") => {
            notes.add(Sight::ResponsesPart);
            if image == Seen::Object {
                notes.add(Sight::ObjectInInputImage);
            }
        }
        _ => {}
    }
    Ok(())
}

fn pass_over<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
