"""The demonstration: a simulated call centre through the whole road, and whether every call arrived."""
