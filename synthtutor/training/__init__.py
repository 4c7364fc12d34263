"""From exported data to a tutor, a grader or a preference-tuned model.

The only part of the project that needs torch, transformers, peft and trl: ``pip install
"synthtutor[training]"``. They are imported inside functions, so that reading data, dividing it and
checking a preset need none of them.
"""
