"""Pictures of analyses, bound to a selection and a cursor."""
