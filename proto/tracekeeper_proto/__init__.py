"""Protocol buffers that our own programs exchange, with the code generated from them (`make proto`)."""
