use std::{error::Error, fmt};

use serde::de::DeserializeOwned;

use crate::File;

/// A file's content is not what was asked for. Names the file, and the place in it.
#[derive(Debug)]
pub struct ValueError {
    path: String,
    why: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

impl Error for ValueError {}

impl File {
    /// The content as YAML. Needs the feature `values`.
    ///
    /// # Errors
    ///
    /// It is no YAML, or not that of a `T`.
    pub fn yaml<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        serde_yaml_ng::from_slice(self.content()).map_err(|error| self.value_error(error))
    }

    /// The content as JSON. Needs the feature `values`.
    ///
    /// # Errors
    ///
    /// It is no JSON, or not that of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        serde_json::from_slice(self.content()).map_err(|error| self.value_error(error))
    }

    fn value_error(&self, why: impl Error + Send + Sync + 'static) -> ValueError {
        ValueError {
            path: self.path().to_owned(),
            why: why.into(),
        }
    }
}
