//! The schema that the simulator serves, read from `schema.graphql`.

use std::collections::BTreeMap;
use std::fmt;

use apollo_parser::cst::{self, Definition};

/// The types by their names.
#[derive(Debug)]
pub(in crate::simulator) struct Schema {
    types: BTreeMap<String, Kind>,
}

/// What a name of a type stands for.
#[derive(Debug)]
pub(super) enum Kind {
    Scalar,
    Enum(Vec<String>),
    Object {
        fields: BTreeMap<String, Field>,
        implements: Vec<String>,
    },
    Interface(BTreeMap<String, Field>),
    Union(Vec<String>),
    Input(BTreeMap<String, TypeRef>),
}

/// A field of an object or interface.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) arguments: BTreeMap<String, TypeRef>,
    pub(super) ty: TypeRef,
}

/// A type as it is written: `[String!]!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TypeRef {
    Named(String),
    List(Box<TypeRef>),
    NonNull(Box<TypeRef>),
}

impl TypeRef {
    pub(super) fn read(ty: &cst::Type) -> Option<Self> {
        Some(match ty {
            cst::Type::NamedType(named) => Self::Named(named.name()?.text().to_string()),
            cst::Type::ListType(list) => Self::List(Box::new(Self::read(&list.ty()?)?)),
            cst::Type::NonNullType(required) => {
                let inner = match (required.named_type(), required.list_type()) {
                    (Some(named), _) => cst::Type::NamedType(named),
                    (None, Some(list)) => cst::Type::ListType(list),
                    (None, None) => return None,
                };
                Self::NonNull(Box::new(Self::read(&inner)?))
            }
        })
    }

    /// The name inside of all lists.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::List(inner) | Self::NonNull(inner) => inner.name(),
        }
    }

    pub(super) const fn is_required(&self) -> bool {
        matches!(self, Self::NonNull(_))
    }

    /// Whether a variable of this type may stand where `wanted` is asked for.
    pub(super) fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::NonNull(this), Self::NonNull(wanted)) | (Self::List(this), Self::List(wanted)) => {
                this.fits(wanted)
            }
            (Self::NonNull(this), wanted) => this.fits(wanted),
            (this, wanted) => this == wanted,
        }
    }
}

impl fmt::Display for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::List(inner) => write!(f, "[{inner}]"),
            Self::NonNull(inner) => write!(f, "{inner}!"),
        }
    }
}

impl Schema {
    /// The schema of the simulator.
    pub(in crate::simulator) fn of_wiz() -> Self {
        let tree = apollo_parser::Parser::new(include_str!("schema.graphql")).parse();
        let errors: Vec<_> = tree.errors().collect();
        assert!(
            errors.is_empty(),
            "the simulator's schema cannot be read: {errors:?}"
        );
        let mut types: BTreeMap<String, Kind> = ["String", "ID", "Int", "Float", "Boolean"]
            .map(|scalar| (scalar.to_owned(), Kind::Scalar))
            .into();
        for definition in tree.document().definitions() {
            let name = definition.name().map(|name| name.text().to_string());
            let (name, kind) = name
                .zip(kind_of(&definition))
                .expect("the schema defines named types only");
            types.insert(name, kind);
        }
        Self { types }
    }

    pub(super) fn kind(&self, name: &str) -> Option<&Kind> {
        self.types.get(name)
    }

    /// The fields of a type, when it is one that has fields.
    pub(super) fn fields(&self, name: &str) -> Option<&BTreeMap<String, Field>> {
        match self.kind(name)? {
            Kind::Object { fields, .. } | Kind::Interface(fields) => Some(fields),
            _ => None,
        }
    }

    pub(super) fn is_composite(&self, name: &str) -> bool {
        matches!(
            self.kind(name),
            Some(Kind::Object { .. } | Kind::Interface(_) | Kind::Union(_))
        )
    }

    pub(super) fn is_input(&self, name: &str) -> bool {
        matches!(
            self.kind(name),
            Some(Kind::Scalar | Kind::Enum(_) | Kind::Input(_))
        )
    }

    /// The object types that a value of this type can have.
    pub(super) fn possible<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        match self.kind(name) {
            Some(Kind::Union(members)) => members.iter().map(String::as_str).collect(),
            Some(Kind::Interface(_)) => {
                let implementing = self.types.iter().filter(|(_, kind)| {
                    matches!(kind, Kind::Object { implements, .. } if implements.iter().any(|of| of == name))
                });
                implementing.map(|(name, _)| name.as_str()).collect()
            }
            _ => vec![name],
        }
    }
}

fn kind_of(definition: &Definition) -> Option<Kind> {
    Some(match definition {
        Definition::ScalarTypeDefinition(_) => Kind::Scalar,
        Definition::EnumTypeDefinition(it) => {
            let values = it.enum_values_definition()?.enum_value_definitions();
            Kind::Enum(
                values
                    .filter_map(|value| Some(value.enum_value()?.text().to_string()))
                    .collect(),
            )
        }
        Definition::ObjectTypeDefinition(it) => Kind::Object {
            fields: fields_of(it.fields_definition())?,
            implements: it
                .implements_interfaces()
                .map_or_else(Vec::new, |it| names_of(it.named_types())),
        },
        Definition::InterfaceTypeDefinition(it) => Kind::Interface(fields_of(it.fields_definition())?),
        Definition::UnionTypeDefinition(it) => Kind::Union(names_of(it.union_member_types()?.named_types())),
        Definition::InputObjectTypeDefinition(it) => {
            Kind::Input(inputs_of(it.input_fields_definition()?.input_value_definitions()))
        }
        _ => return None,
    })
}

fn names_of(types: impl Iterator<Item = cst::NamedType>) -> Vec<String> {
    types
        .filter_map(|named| Some(named.name()?.text().to_string()))
        .collect()
}

fn fields_of(fields: Option<cst::FieldsDefinition>) -> Option<BTreeMap<String, Field>> {
    let fields = fields?.field_definitions().filter_map(|field| {
        let arguments = field
            .arguments_definition()
            .map_or_else(BTreeMap::new, |it| inputs_of(it.input_value_definitions()));
        let ty = TypeRef::read(&field.ty()?)?;
        Some((field.name()?.text().to_string(), Field { arguments, ty }))
    });
    Some(fields.collect())
}

fn inputs_of(inputs: impl Iterator<Item = cst::InputValueDefinition>) -> BTreeMap<String, TypeRef> {
    inputs
        .filter_map(|input| Some((input.name()?.text().to_string(), TypeRef::read(&input.ty()?)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_the_schema_names_is_defined() {
        let schema = Schema::of_wiz();
        let mut named: Vec<&str> = Vec::new();
        for kind in schema.types.values() {
            match kind {
                Kind::Object { fields, .. } | Kind::Interface(fields) => {
                    for field in fields.values() {
                        named.push(field.ty.name());
                        named.extend(field.arguments.values().map(TypeRef::name));
                    }
                }
                Kind::Input(members) => named.extend(members.values().map(TypeRef::name)),
                Kind::Union(members) => named.extend(members.iter().map(String::as_str)),
                Kind::Scalar | Kind::Enum(_) => {}
            }
        }
        for name in named {
            assert!(schema.kind(name).is_some(), "{name} is not defined");
        }
        assert_eq!(schema.possible("VulnerableAssetBase").len(), 2);
    }
}
