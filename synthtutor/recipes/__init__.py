"""One file per recipe, each one async function with its types; prompts and seeds lie beside them."""
