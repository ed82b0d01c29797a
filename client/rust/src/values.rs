use serde::de::DeserializeOwned;

use crate::File;

impl File {
    /// The content as YAML. Needs the feature `values`.
    ///
    /// # Errors
    ///
    /// It is no YAML, or not that of a `T`.
    pub fn yaml<T: DeserializeOwned>(&self) -> Result<T, serde_yaml_ng::Error> {
        serde_yaml_ng::from_slice(self.content())
    }

    /// The content as JSON. Needs the feature `values`.
    ///
    /// # Errors
    ///
    /// It is no JSON, or not that of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.content())
    }
}
