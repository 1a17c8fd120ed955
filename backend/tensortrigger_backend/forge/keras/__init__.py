"""Keras models: is the file safe to open, how is it rebuilt from plain values, and how does it answer?"""
