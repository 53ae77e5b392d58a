//! `spin:variables` over the values of the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{Accessor, HasData, Linker};

use crate::bindings::spin::variables::variables::{self, Error};
use crate::instance::State;

pub struct Variables(Arc<BTreeMap<String, String>>);

impl Variables {
    pub fn new(values: Arc<BTreeMap<String, String>>) -> Self {
        Self(values)
    }

    fn find(&self, name: &str) -> Result<String, Error> {
        if !is_name(name) {
            return Err(Error::InvalidName(format!("{name:?}: lower-case letters, digits and single _ only")));
        }
        let value = self.0.get(name).cloned();
        value.ok_or_else(|| Error::Undefined(format!("no variable {name:?}")))
    }
}

/// Spin's rule for the names of variables.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.ends_with('_')
        && !name.contains("__")
}

pub fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    variables::add_to_linker::<_, Variables>(linker, |state| &mut state.variables)
}

impl HasData for Variables {
    type Data<'a> = &'a mut Variables;
}

impl variables::Host for Variables {}

impl<T> variables::HostWithStore<T> for Variables {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        accessor.with(|mut access| access.get().find(&name))
    }
}
