"""Writes the benchmark model as an MLflow model: ``mlflow models serve`` is the server, so there is no other file."""

import sys

import joblib
import mlflow.sklearn


def main(model: str, path: str) -> None:
    """Save the joblib file ``model`` as an MLflow model in the new directory ``path``."""
    mlflow.sklearn.save_model(
        joblib.load(model),
        path,
        # skops, the default, refuses the tree types of scikit-learn until each is named as trusted.
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
        # The environment is made already: a list of requirements would only be guessed, slowly.
        pip_requirements=["scikit-learn"],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
